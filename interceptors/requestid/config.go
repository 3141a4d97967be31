package requestid

import (
	"fmt"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// DefaultHeader is the default metadata key of ids.
const DefaultHeader = "x-request-id"

// MaxLength is the maximum length of an id, in bytes.
const MaxLength = 128

// Config defines how ids are sent and received. The zero value is ready for use.
type Config struct {
	// Header is the metadata key of ids in requests, response headers and trailers. Case
	// makes no difference. The default is DefaultHeader. hauberk.New rejects gRPC's own
	// keys and binary ones ("-bin").
	Header string
	// NoEcho keeps a server from sending the id back.
	NoEcho bool
	// EchoErrorsInHeader makes a server send the id of failed calls in the response
	// header too, as gRPC Python does. By default a call that fails before its header is
	// sent carries the id in the trailer: with a header the response would not be
	// Trailers-Only, and neither gRPC's own retries (gRFC A6) nor Envoy and Linkerd
	// would retry the call.
	EchoErrorsInHeader bool
	// IgnoreIncoming makes a server ignore the ids of its callers: each call gets a new
	// one. It is meant for servers with untrusted callers.
	IgnoreIncoming bool
	// SetMetadata makes a server put a new id into the request metadata as well, in place
	// of invalid values, for handlers that read it there and for proxies that forward the
	// metadata. It costs a copy of the metadata. By default the metadata does not change.
	SetMetadata bool
}

// checkHeader rejects keys that gRPC does not allow for applications, or encodes. key is
// in lower case.
func checkHeader(key string) error {
	if metadatakey.Text(key) {
		return nil
	}
	return fmt.Errorf(`Config.Header is %q; want a metadata key such as %q: letters, digits, "-", "_" and ".",`+
		` not reserved by gRPC and without the suffix "-bin"`, key, DefaultHeader)
}
