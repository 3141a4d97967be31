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

// Below the least nothing fits; above the greatest, clients of other languages
// reject the whole trailer, whose limit is 8 or 16 KiB.
const (
	minMaxBytes = 256
	maxMaxBytes = 64 << 10
)

// Config says who may ask and how. Identities must be set.
type Config struct {
	// Identities are those who are told, as the key given with [By] has them, byte for
	// byte. There are no patterns.
	Identities []string
	// Authenticator is the name of the interceptor that authenticates, as decisions have it
	// ([hauberk.Declaration], [hauberk.Named]): without an enforced decision of that
	// interceptor to let the call pass, and with one to reject it, no one is told. The default
	// is DefaultAuthenticator. The interceptor must declare that it decides.
	Authenticator string
	// Request is the metadata key by which callers ask, with the one value "1". Its
	// case does not matter. The default is DefaultRequest.
	Request string
	// Trailer is the metadata key of the trace. Its case does not matter. The default
	// is DefaultTrailer.
	Trailer string
	// MaxBytes bounds the value of the trailer, from 256 to 65536 bytes. Decisions that
	// do not fit are left out and counted, those that let the call pass first. The
	// default is DefaultMaxBytes: many clients take 8 KiB of metadata in all.
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

// check says what is wrong with a configuration that has its defaults.
func (c Config) check() error {
	errs := []error{checkKey("Config.Request", c.Request), checkKey("Config.Trailer", c.Trailer)}
	if len(c.Identities) == 0 {
		errs = append(errs, errors.New("Config.Identities is empty; want the identities that are told"))
	}
	for i, id := range c.Identities {
		switch id {
		case "":
			errs = append(errs, fmt.Errorf("Config.Identities[%d] is empty; want an identity", i))
		case "*":
			errs = append(errs, fmt.Errorf(`Config.Identities[%d] is "*", which is no pattern; want an identity`, i))
		}
	}
	if c.MaxBytes < minMaxBytes || c.MaxBytes > maxMaxBytes {
		errs = append(errs, fmt.Errorf("Config.MaxBytes is %d; want %d to %d", c.MaxBytes, minMaxBytes, maxMaxBytes))
	}
	return errors.Join(errs...)
}

// checkKey rejects metadata keys that gRPC does not let applications use, or
// encodes. It is given them in lower case.
func checkKey(field, key string) error {
	if metadatakey.Text(key) {
		return nil
	}
	return fmt.Errorf(`%s is %q; want a metadata key such as %q: letters, digits, "-", "_" and ".",`+
		` none of gRPC's own and without the suffix "-bin"`, field, key, DefaultTrailer)
}
