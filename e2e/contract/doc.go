// Package contract holds Hauberk's chains against gRPC Python: it has only tests.
//
// A scenario (testdata/scenarios) is a server and a client, a chain of
// interceptors on each, and calls. The golden file of the same name
// (testdata/golden) says what grpcio 1.85.1 did with it and with a completed
// edition of the interceptors that this project began from. TestScenarios builds
// the same chains of Hauberk's own interceptors, serves the same scripted service
// (oraclepb), makes the same calls, writes what came of them as the same JSON, and
// compares. What may differ is said by the rules in the golden files, and by
// nothing else.
//
// testdata/primitives has further scenarios in the same format, with what grpcio
// did with them, for what no file in testdata/scenarios uses.
//
// HAUBERK_SCENARIOS and HAUBERK_GOLDEN name other folders of scenarios and golden
// files for TestScenarios; relative paths start at this folder or at the
// repository. HAUBERK_OUTCOMES names a folder in which the outcomes are left.
package contract
