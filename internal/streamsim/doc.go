// Package streamsim tests client streams and stream handlers with generated programs. It contains
// only tests.
//
// A program describes one RPC: the steps of the application, the chain, and a
// script for each attempt on a simulated transport. A generator makes programs
// from seeds. Each program runs in a testing/synctest bubble, where all delays
// are fake time, and its record is checked against rules. If the chain of a
// program changes nothing, the same program also runs on the transport alone, and the application
// must observe the same.
//
// Run one program again with its trace:
//
//	STREAMSIM_SEED=42 go test ./internal/streamsim -run TestSeed -v
package streamsim
