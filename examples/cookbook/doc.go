// Package cookbook has the recipes of docs/cookbook.md, each with an example whose output go test
// checks.
package cookbook
