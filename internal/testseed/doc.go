// Package testseed provides seeds for randomized tests, so that the result of a test run
// depends only on the commit.
//
// A randomized test gets its random numbers from [Rand], or calls [Check].
// By default the seed is fixed. The environment variable HAUBERK_SEED, a number,
// sets another one; `make fuzz` runs all randomized tests with fresh seeds. A test
// that fails logs the seed to reproduce it with.
//
// The functions must be called in the body of the Test function: scripts/random.sh
// finds randomized tests by these calls.
package testseed
