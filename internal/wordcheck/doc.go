// Command wordcheck reports words that the project's texts do not use, with the words to
// use instead.
//
// It reads the paths of files on standard input, one a line and relative to the current
// folder, and checks everything in them that a person reads: comments, string literals
// and exported names of Go files, and the whole text of markdown, shell, Makefile, YAML,
// Python and proto files. It prints one finding a line:
//
//	docs/streams.md:12:3: "stands": want runs, is, or the verb for what happens
//
// The exit code is 1 if there are findings. `make lint` runs it through scripts/lint.sh.
//
// Two things are not checked:
//   - generated files, licences, test data, and this folder (see ignored);
//   - the line of a comment wordcheck:ignore, and the line below it. This is for real
//     quotations. A marker that suppresses no finding is an error.
//
// The flag -rules prints the rules.
package main
