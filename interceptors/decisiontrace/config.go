package decisiontrace

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// Defaults of [Config].
const (
	DefaultRequest       = "hauberk-decisions"
	DefaultTrailer       = "hauberk-decisions"
	DefaultAuthenticator = "authn"
	DefaultMaxBytes      = 4096
)

// Bounds of Config.MaxBytes. A smaller value has no room for a decision. Clients in other languages limit
// trailers to 8 or 16 KiB and reject larger ones.
const (
	minMaxBytes = 256
	maxMaxBytes = 64 << 10
)

// Config configures an [Interceptor]. Identities is required.
type Config struct {
	// Identities contains the identities that may receive the trace. They are compared with
	// the value of the key of [By] byte for byte. They are not patterns.
	Identities []string
	// Authenticator is the name of the authenticating interceptor in decisions
	// ([hauberk.Declaration], [hauberk.Named]). A call has a trace only if this interceptor
	// has allowed it, enforced, and has not rejected it. The interceptor must declare that it
	// decides. The default is DefaultAuthenticator.
	Authenticator string
	// Request is the metadata key with which callers request the trace. Its only value must
	// be "1". Its case does not matter. The default is DefaultRequest.
	Request string
	// Trailer is the metadata key of the trace in the trailer. Its case does not matter. The
	// default is DefaultTrailer.
	Trailer string
	// MaxBytes is the maximum size of the trailer's value, from 256 to 65536 bytes. Decisions
	// that do not fit are omitted and counted. Decisions that allow the call are omitted
	// first. The default is DefaultMaxBytes: many clients limit all metadata to 8 KiB.
	MaxBytes int
}

func (c Config) withDefaults() Config {
	c.Request = strings.ToLower(orDefault(c.Request, DefaultRequest))
	c.Trailer = strings.ToLower(orDefault(c.Trailer, DefaultTrailer))
	c.Authenticator = orDefault(c.Authenticator, DefaultAuthenticator)
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	c.Identities = slices.Clone(c.Identities)
	return c
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// check returns the errors in a configuration with defaults.
func (c Config) check() error {
	errs := []error{checkKey("Config.Request", c.Request), checkKey("Config.Trailer", c.Trailer)}
	if len(c.Identities) == 0 {
		errs = append(errs, errors.New("Config.Identities is empty; want the identities that receive the trace"))
	}
	for i, id := range c.Identities {
		switch id {
		case "":
			errs = append(errs, fmt.Errorf("Config.Identities[%d] is empty; want an identity", i))
		case "*":
			errs = append(errs, fmt.Errorf(`Config.Identities[%d] is the pattern "*"; want an identity`, i))
		}
	}
	if c.MaxBytes < minMaxBytes || c.MaxBytes > maxMaxBytes {
		errs = append(errs, fmt.Errorf("Config.MaxBytes is %d; want %d to %d", c.MaxBytes, minMaxBytes, maxMaxBytes))
	}
	return errors.Join(errs...)
}

// checkKey returns an error for metadata keys that gRPC reserves or encodes. The key is in lower case.
func checkKey(field, key string) error {
	if metadatakey.Text(key) {
		return nil
	}
	return fmt.Errorf(`%s is %q; want a metadata key such as %q: letters, digits, "-", "_" and ".",`+
		` not reserved by gRPC and without the suffix "-bin"`, field, key, DefaultTrailer)
}
