//! The promise: the calls follow the plan in force, check a user's addresses, and leave vector registers alone; and the table is
//! what it says.
