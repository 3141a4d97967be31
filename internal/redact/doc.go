// Package redact writes protobuf messages as JSON without secrets: the values of fields that are marked
// debug_redact, that are annotated with an option whose enum value is marked debug_redact, or that a
// setting names. It does not write fields that the program does not know. The text and the work for it are
// bounded.
package redact
