package authn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/reload"
)

// FileTokenConfig holds the settings of [NewFileToken]. File is required.
type FileTokenConfig struct {
	// File is the name of a file with one token, such as a projected service account token.
	// Spaces and line breaks around it are removed. It is read again when its content changes;
	// a file without a valid token leaves the last one in use.
	File string
	// Every is the time between two looks at the file. The default is half a second.
	Every time.Duration
	// Failed is called as that of [APIKeysConfig].
	Failed func(error)
}

// FileToken is a source of the token in a file. Make it with [NewFileToken]. Safe for concurrent
// use.
type FileToken struct {
	file *reload.File[string]
	err  error
}

// NewFileToken returns a source for [NewClient]. hauberk.New reports what is wrong with the
// settings or with the file. Close ends the goroutine that watches the file.
func NewFileToken(config FileTokenConfig) *FileToken {
	f := new(FileToken)
	if config.File == "" {
		f.err = errors.New("FileTokenConfig.File is empty; want the name of a file with a token")
		return f
	}
	settings := reload.Settings{Every: config.Every, Failed: config.Failed, MaxBytes: 1 << 20}
	f.file, f.err = reload.Open(config.File, parseToken, nil, settings)
	if f.err != nil {
		f.err = fmt.Errorf("FileTokenConfig.File: %w", f.err)
	}
	return f
}

// parseToken returns the token in a file. Its errors do not contain it.
func parseToken(data []byte) (string, error) {
	token := strings.TrimSpace(string(data))
	if !wellFormed(token) {
		return "", malformed(token)
	}
	return token, nil
}

// Err returns what is wrong with the settings, or with the file when it was opened, or nil.
func (f *FileToken) Err() error {
	if f.err == nil && f.file == nil {
		return errors.New("FileToken has no file; make it with authn.NewFileToken")
	}
	return f.err
}

// Token returns the token that the file has now.
func (f *FileToken) Token(context.Context) (string, error) {
	if err := f.Err(); err != nil {
		return "", err
	}
	return f.file.Get(), nil
}

// Close ends the watching of the file. The token stays as it is.
func (f *FileToken) Close() {
	if f.file != nil {
		f.file.Close()
	}
}
