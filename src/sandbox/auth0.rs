//! The Auth0 side.
