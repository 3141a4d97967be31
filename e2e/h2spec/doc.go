// Package h2spec is the module that pins the h2spec command for the tests of e2e.
package h2spec
