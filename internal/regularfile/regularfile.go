// Package regularfile reads regular files of a limited size.
package regularfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxSize is the usual limit for configuration, keys and certificates, in bytes.
const MaxSize = 16 << 20

// Sentinels that errors.Is finds in the errors of [Read].
var (
	ErrNotRegular = errors.New("it is not a regular file")
	ErrTooLarge   = errors.New("the file is too large")
)

// Read returns the content of a regular file of at most limit bytes. It does not wait for the writer of a named pipe.
// Errors name the file, and have nothing of its content.
func Read(path string, limit int64) ([]byte, error) {
	// Before Open, which waits for the writer of a named pipe, and whose errors are returned.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrNotRegular)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s: %w: want at most %d bytes", path, ErrTooLarge, limit)
	default:
		return data, nil
	}
}
