//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package audit

import "os"

// renamesOpenFiles reports whether an open file can be renamed.
const renamesOpenFiles = false

// lock does nothing: the system has no flock.
func lock(*os.File) error { return nil }

// ignoreUnsupported returns nil: these systems cannot sync folders.
func ignoreUnsupported(error) error { return nil }
