package forward

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// Config names the metadata to forward.
type Config struct {
	// Metadata lists keys of request metadata, such as "x-tenant". Their case does not
	// matter. All values of a key are copied in their order, those of binary keys ("-bin")
	// as well. Keys of gRPC and of HTTP ("grpc-timeout", "user-agent", ":path") are errors.
	Metadata []string
}

// keys returns the keys in lower case, each once, and what is wrong with them.
func (c Config) keys() ([]string, error) {
	var keys []string
	var errs []error
	for i, key := range c.Metadata {
		key = strings.ToLower(key)
		switch {
		case !metadatakey.Legal(key):
			errs = append(errs, fmt.Errorf(
				"Config.Metadata[%d] is %q; want a key of lower-case letters, digits, '-', '_' and '.'", i, key))
		case metadatakey.Reserved(key):
			errs = append(errs, fmt.Errorf(
				"Config.Metadata[%d] is %q, which gRPC or HTTP sets for each call itself", i, key))
		case !slices.Contains(keys, key):
			keys = append(keys, key)
		}
	}
	return keys, errors.Join(errs...)
}
