package catalog

import (
	"crypto/sha256"
	"os"
)

// readOnce notes that the interceptor reads a file only when it is made. The caller reads it afterwards.
func (b *Build) readOnce(path string) {
	if path == "" {
		return
	}
	if b.inputs == nil {
		b.inputs = make(map[string][sha256.Size]byte)
	}
	b.inputs[path] = sumOf(path)
}

// Stale reports whether a file that is read only once has another content than when the interceptor was made.
func (b *Build) Stale() bool {
	for path, sum := range b.inputs {
		if sumOf(path) != sum {
			return true
		}
	}
	return false
}

// sumOf returns the hash of a regular file. All others have the same one.
func sumOf(path string) [sha256.Size]byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return [sha256.Size]byte{}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(data)
}
