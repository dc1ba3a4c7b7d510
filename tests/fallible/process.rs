//! The promise: the handler for programs answers what the table has, and nothing else.
