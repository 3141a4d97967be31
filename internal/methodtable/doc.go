// Package methodtable finds what an interceptor keeps of a method.
//
// A chain has one *hauberk.Method for each method, but chains come and go, and
// Call.SetMethod makes a new one for each call. A [Cache] leads from these pointers,
// without a lock, to what is kept; it is emptied when it is full. What is kept itself,
// such as counters, must not be lost: [Names] holds it by the name of the method, and
// rejects further names when it is full, since callers can make up any number of them.
package methodtable
