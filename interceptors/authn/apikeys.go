package authn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/reload"
)

// NewAPIKey returns a new random API key with 256 bits, and its hash for a key file. Give the key
// to its owner and keep only the hash.
func NewAPIKey() (key, hash string) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	key = base64.RawURLEncoding.EncodeToString(secret[:])
	return key, HashAPIKey(key)
}

// HashAPIKey returns the hash of an API key for a key file: "sha256:" and 64 hexadecimal digits.
// A fast hash is safe only for keys that cannot be guessed, such as those of [NewAPIKey], not for
// passwords.
func HashAPIKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hashPrefix + hex.EncodeToString(sum[:])
}

const hashPrefix = "sha256:"

// APIKeysConfig holds the settings of [NewAPIKeys]. File is required.
type APIKeysConfig struct {
	// File is the name of the key file. Each line has a subject, a hash of [HashAPIKey], and
	// optional fields, separated by spaces:
	//
	//	billing sha256:9f86… tenant=acme roles=reader,writer scopes=orders.read expires=2027-01-31T00:00:00Z
	//
	// A subject can have several keys, such as an old and a new one. Empty lines and lines that
	// begin with "#" are ignored, as is a byte order mark. The time is that of RFC 3339. The file is
	// read again when its content changes. A file with an error, or one that cannot be read, leaves the last good keys
	// in force. A file without a key is an error for [NewAPIKeys]; later it revokes all keys.
	File string
	// Header is the metadata key of API keys. The default is "x-api-key". The value is the key
	// alone. No other method of the interceptor may read the same key, such as "authorization":
	// each rejects what the other accepts.
	Header string
	// Every is the time between two looks at the file. New content counts when two looks in
	// succession find it. The default is half a second.
	Every time.Duration
	// Failed is called when the file cannot be read or has an error, with each new error, and
	// with nil when it is good again. The errors contain line numbers but no keys and no hashes.
	// It runs on the goroutine that watches the file. Its panics are ignored. The default ignores the
	// errors.
	Failed func(error)
}

// APIKeys is the method of API keys. Make it with [NewAPIKeys]. Safe for concurrent use.
type APIKeys struct {
	header string
	file   *reload.File[keySet]
	err    error
}

// keySet has the identities of API keys by the SHA-256 of the keys.
type keySet map[[sha256.Size]byte]*apiKey

type apiKey struct {
	hash     [sha256.Size]byte
	identity *Identity
	revoked  chan struct{} // closed when the key leaves the file
	line     string        // the key's line; another one is another key
}

// NewAPIKeys returns the method of API keys. A call needs exactly one value under the metadata
// key. An unknown key ends with UNAUTHENTICATED, "Invalid API key"; a call without one too,
// unless a later method admits it. A key that leaves the file, or whose line changes, ends the
// streams that it opened. hauberk.New reports what is wrong with the arguments or with the file.
//
// Close ends the goroutine that watches the file.
func NewAPIKeys(config APIKeysConfig) *APIKeys {
	k := &APIKeys{header: config.Header}
	if k.header == "" {
		k.header = "x-api-key"
	}
	k.header = strings.ToLower(k.header)
	if !metadatakey.Text(k.header) {
		k.err = fmt.Errorf("APIKeysConfig.Header is %q; want a metadata key for text, such as x-api-key", config.Header)
		return k
	}
	if config.File == "" {
		k.err = errors.New("APIKeysConfig.File is empty; want the name of a key file")
		return k
	}
	current := keySet(nil) // only the goroutine of the file uses it after Open
	parse := func(data []byte) (keySet, error) {
		next, err := parseKeys(data, current)
		if err == nil {
			current = next
		}
		return next, err
	}
	k.file, k.err = reload.Open(config.File, parse, nil, reload.Settings{Every: config.Every, Failed: config.Failed})
	if k.err != nil {
		k.err = fmt.Errorf("APIKeysConfig.File: %w", k.err)
	}
	return k
}

// Name returns "api key".
func (*APIKeys) Name() string { return "api key" }

// Credential returns the metadata key of API keys.
func (k *APIKeys) Credential() string { return k.header }

// Err returns what is wrong with the arguments of [NewAPIKeys], or nil.
func (k *APIKeys) Err() error {
	if k.err == nil && k.file == nil {
		return errors.New("APIKeys has no file; make it with authn.NewAPIKeys")
	}
	return k.err
}

// Close ends the watching of the file. The keys stay as they are.
func (k *APIKeys) Close() {
	if k.file != nil {
		k.file.Close()
	}
}

// Authenticate returns the identity of the call's API key.
func (k *APIKeys) Authenticate(ctx context.Context, call *hauberk.Call) (*Identity, error) {
	values := call.Metadata(ctx, k.header)
	switch {
	case len(values) == 0:
		return nil, errNoKey
	case len(values) > 1 || values[0] == "" || len(values[0]) > maxKey:
		return nil, errBadKey
	}
	hash := sha256.Sum256([]byte(values[0]))
	found := k.file.Get()[hash]
	if found == nil || subtle.ConstantTimeCompare(found.hash[:], hash[:]) != 1 {
		return nil, errBadKey
	}
	return found.identity, nil
}

// maxKey is the size of the longest API key, in bytes.
const maxKey = 1024

// The rejections of API keys. The table is looked up by the hash of the key, so that the time
// that a lookup takes says nothing about keys.
var (
	errNoKey  = reject(ReasonMissingToken, "Missing API key", ErrNoCredential)
	errBadKey = reject(ReasonInvalidToken, "Invalid API key", ErrInvalidToken)
)

// parseKeys parses a key file. A key that an earlier set has with the same line keeps its
// identity; those that are not in the new set are revoked. earlier is nil when the file is opened.
func parseKeys(data []byte, earlier keySet) (keySet, error) {
	keys := make(keySet)
	text := strings.TrimPrefix(string(data), "\ufeff") // the byte order mark of some editors
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := parseKey(line)
		if err == nil && keys[key.hash] != nil {
			err = fmt.Errorf("the hash is that of an earlier line, of %q", keys[key.hash].identity.Subject)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if old := earlier[key.hash]; old != nil && old.line == line {
			key = old
		}
		keys[key.hash] = key
	}
	if len(keys) == 0 && earlier == nil { // later it means that all keys are revoked
		return nil, errors.New("the file has no key; want a line with a subject and a hash for each key")
	}
	for hash, old := range earlier {
		if keys[hash] != old {
			close(old.revoked)
		}
	}
	return keys, nil
}

// parseKey parses a line of a key file. Its errors contain no text of the line, which could be a
// key that is in the wrong place.
func parseKey(line string) (*apiKey, error) {
	fields := strings.Fields(line)
	switch {
	case len(fields) < 2:
		return nil, errors.New("want a subject and a hash")
	case strings.ContainsFunc(line, unprintable) || !utf8.ValidString(line):
		return nil, errors.New("it has a character that is not printable, or is not UTF-8")
	}
	key := &apiKey{line: line, revoked: make(chan struct{})}
	digits, ok := strings.CutPrefix(fields[1], hashPrefix)
	hash, err := hex.DecodeString(digits)
	if !ok || err != nil || len(hash) != len(key.hash) {
		return nil, errors.New("the hash is malformed; want a subject, " + hashPrefix + " and 64 hexadecimal digits")
	}
	copy(key.hash[:], hash)
	key.identity = &Identity{Subject: fields[0], Method: "api key", Revoked: key.revoked}
	for i, field := range fields[2:] {
		if err := setKeyField(key.identity, field); err != nil {
			return nil, fmt.Errorf("field %d %w", i+3, err)
		}
	}
	return key, nil
}

// unprintable reports whether a character is invisible, such as U+FEFF in a subject.
func unprintable(r rune) bool { return !unicode.IsPrint(r) && !unicode.IsSpace(r) }

func setKeyField(id *Identity, field string) error {
	name, value, _ := strings.Cut(field, "=")
	if value == "" {
		return errors.New("has no value; want a name, \"=\" and a value")
	}
	list := strings.Split(value, ",")
	switch name {
	case "tenant":
		id.Tenant = value
	case "roles", "scopes":
		if slices.Contains(list, "") {
			return errors.New("has an empty item; want a list such as roles=reader,writer")
		}
		if name == "roles" {
			id.Roles = list
		} else {
			id.Scopes = list
		}
	case "expires":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return errors.New("is no time of RFC 3339, such as 2027-01-31T00:00:00Z")
		}
		id.Expires = at
	default:
		return errors.New("has an unknown name; want tenant, roles, scopes or expires")
	}
	return nil
}
