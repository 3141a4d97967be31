// Package methodtable maps methods to an interceptor's data about them.
//
// A chain has one *hauberk.Method for each method. But programs replace chains, and
// Call.SetMethod makes a new *hauberk.Method for each call. So two types store the data:
//   - [Cache] maps these pointers to data without a lock. A full Cache drops its entries.
//   - [Names] maps the names of methods to data that must not be lost, such as counters. It
//     rejects further names when it is full, since callers can invent any number of names.
package methodtable
