// Command peers runs other projects' test suites with their servers and clients
// behind a Hauberk chain, and compares each test with the same one on bare
// grpc-go, in the same run. Run it with "make peers" from the project's root.
//
// The sources of the suites are copied from the Go module cache, at the versions
// in go.mod, into a work folder (flag -work). Package rewrite makes the copies call
// package behind. A Go workspace joins the copies and this repository, so that all
// of them are built with one grpc-go.
//
// A test that passes bare and does not pass behind a chain, or that takes several
// seconds longer there, is a difference. A test that fails is first repeated alone,
// three times, on either side: one that passes then is flaky and no difference.
// The differences that are known are listed, with their reasons, in
// docs/differences.md. The program fails if a difference is not in the list, and
// if one in the list does not occur.
package main
