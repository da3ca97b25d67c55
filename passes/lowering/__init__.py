"""Operations spelled with others, for devices that lack them: applied only on request."""
