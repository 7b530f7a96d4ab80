//! Multipart bodies (RFC 2387, PS3.18 §8.6.1.2), read and written.
