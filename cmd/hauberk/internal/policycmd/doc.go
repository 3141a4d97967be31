// Package policycmd implements the commands that work on policy files: validate, explain, coverage, schema and
// others. The commands only print; package policy decides.
package policycmd
