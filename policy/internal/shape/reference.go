package shape

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxSecret is the size of the largest file of a reference, in bytes.
const maxSecret = 64 << 10

// reference is "${env:NAME}" or "${file:PATH}" in a text.
var reference = regexp.MustCompile(`\$\{(env|file):([^{}\n]*)\}`)

// IsReference reports whether a text has a reference.
func IsReference(text string) bool { return reference.MatchString(text) }

// ReferencePattern matches texts with a reference, for JSON Schema.
const ReferencePattern = `\$\{(env|file):[^{}\n]+\}`

// resolve replaces the references in a text. The values are kept, so that no error contains them.
func (d *Decoder) resolve(text string) (string, error) {
	var failed error
	fail := func(format string, args ...any) string {
		if failed == nil {
			failed = fmt.Errorf(format, args...)
		}
		return ""
	}
	out := reference.ReplaceAllStringFunc(text, func(match string) string {
		parts := reference.FindStringSubmatch(match)
		value, err := d.read(parts[1], parts[2])
		if err != nil {
			return fail("%s: %w", match, err)
		}
		d.Secrets = append(d.Secrets, value)
		return value
	})
	if failed == nil && strings.Contains(reference.ReplaceAllString(text, ""), "${") {
		fail("it has \"${\" without a reference; want ${env:NAME} or ${file:PATH}")
	}
	return out, failed
}

// read returns the value that a reference names.
func (d *Decoder) read(kind, name string) (string, error) {
	if name == "" {
		return "", errors.New("it has no name; want ${env:NAME} or ${file:PATH}")
	}
	if kind == "env" {
		value, ok := d.Env(name)
		if !ok || value == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return value, nil
	}
	path := d.path(name)
	d.Files = append(d.Files, path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxSecret:
		return "", fmt.Errorf("%s has %d bytes; want at most %d", path, info.Size(), maxSecret)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return value, nil
}

// path returns the name of a file that is relative to the folder of the policy.
func (d *Decoder) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.Dir, name)
}

// Parts of a secret with this many bytes are in no error about a value with a reference, and in no other error.
const (
	partNear = 4
	partFar  = 8
)

// Reveals reports whether an error contains a secret or a part of one. near is set for errors about a value that has a
// reference, which may name small parts of it.
func Reveals(secrets []string, text string, near bool) bool {
	part := partFar
	if near {
		part = partNear
	}
	return slices.ContainsFunc(secrets, func(secret string) bool {
		quoted := strconv.Quote(secret)
		return contains(text, secret, part, near) || contains(text, quoted[1:len(quoted)-1], part, near)
	})
}

// contains reports whether a text contains a part of a secret. A short secret counts if the error is near.
func contains(text, secret string, part int, near bool) bool {
	if len(secret) <= part {
		return secret != "" && (near || len(secret) > partNear) && strings.Contains(text, secret)
	}
	for i := 0; i+part <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+part]) {
			return true
		}
	}
	return false
}

// OnlyReference reports whether a text is a reference and nothing else.
func OnlyReference(text string) bool {
	return text != "" && reference.ReplaceAllString(text, "") == ""
}
