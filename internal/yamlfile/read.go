package yamlfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Sentinels that errors.Is finds in the errors of [Read].
var (
	ErrNotRegular = errors.New("it is not a regular file")
	ErrChanges    = errors.New("the file changed while it was read; replace it by a rename, or try again")
)

// Read returns the content of a regular file of at most [MaxSize] bytes. It does not wait for the writer of a named
// pipe. The error has the place: "file:1:1: what".
func Read(path string) ([]byte, error) {
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("%s:1:1: %w", path, err)
	}
	return data, nil
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path) // before Open, which waits for the writer of a named pipe
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.New("the file does not exist")
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder; want a file")
	case !info.Mode().IsRegular():
		return nil, ErrNotRegular
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, err
	}
	after, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()):
		return nil, ErrChanges
	case len(data) > MaxSize:
		return nil, fmt.Errorf("the file has %d bytes; want at most %d", after.Size(), MaxSize)
	}
	return data, nil
}
