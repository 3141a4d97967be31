// Package contract compares Hauberk's chains with gRPC Python. It contains only tests.
//
// A scenario (testdata/scenarios) is a server and a client, a chain of interceptors on each, and
// calls. The golden file of the same name (testdata/golden) is the outcome with grpcio 1.85.1 and a
// completed edition of the interceptors from which this project began. TestScenarios builds the
// same chains from Hauberk's interceptors, serves the same scripted service (oraclepb), makes the
// same calls, writes the outcome as the same JSON, and compares. Only the differences that the rules
// in the golden files allow are accepted.
//
// testdata/primitives contains further scenarios in the same format, with grpcio's outcomes, for
// primitives that no file in testdata/scenarios uses.
//
// HAUBERK_SCENARIOS and HAUBERK_GOLDEN name other folders of scenarios and golden files for
// TestScenarios. Relative paths start at this folder or at the repository. HAUBERK_OUTCOMES names a
// folder to which the outcomes are written.
package contract
