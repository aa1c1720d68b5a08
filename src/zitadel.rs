//! 6 WRITE: the ZITADEL instance. Nothing here knows Auth0.
