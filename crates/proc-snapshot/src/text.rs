//! Text rules of Go that the built-in keys rest on.
