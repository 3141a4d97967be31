// Package policyimport makes policy files of configurations of other programs.
package policyimport
