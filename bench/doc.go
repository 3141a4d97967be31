// Command bench measures Hauberk beside bare grpc-go, go-grpc-middleware and a
// plain grpc-go proxy, all in one run and interleaved, and writes RESULTS.md and
// results.json. Run it with "make bench" from the project's root; -short takes
// fewer and shorter samples.
//
// There are two kinds of measurement. The first runs generated handlers and
// clients in this process, without a network: what a call costs beyond the bare
// one, in time and allocations. The second runs servers and proxies as processes
// of their own, loads them over loopback TCP and asks each for the CPU time that
// it has used: what a call costs the whole process.
package main
