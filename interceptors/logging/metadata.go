package logging

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// secrets are the names of metadata that is not logged.
type secrets struct {
	whole map[string]bool
	ends  []string
	limit int // of one header or trailer, in bytes
}

func (x *Interceptor) newSecrets(c Metadata) secrets {
	n := secrets{whole: make(map[string]bool), limit: x.maxBytes(c.MaxBytes, "Config.Metadata.MaxBytes")}
	for _, name := range slices.Concat(metadatakey.Credentials, []string{"*-bin"}, c.Redact) {
		end, isEnd := strings.CutPrefix(metadatakey.Spelling(name), "*")
		switch {
		case !isMetadataName(end):
			x.failf("Config.Metadata.Redact has %q; want a name such as \"x-session\", or \"*-secret\"", name)
		case isEnd:
			n.ends = append(n.ends, end)
			n.whole[strings.TrimPrefix(end, "-")] = true
		default:
			n.whole[end] = true
		}
	}
	return n
}

func isMetadataName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

func (n *secrets) hide(name string) bool {
	name = metadatakey.Spelling(name)
	return n.whole[name] || slices.ContainsFunc(n.ends, func(end string) bool { return strings.HasSuffix(name, end) })
}

func (x *Interceptor) appendRequestMetadata(ctx context.Context, list []slog.Attr, call *hauberk.Call) []slog.Attr {
	if !x.config.Metadata.Request {
		return list
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	if call.Side() == hauberk.ServerSide {
		md, _ = metadata.FromIncomingContext(ctx)
	}
	return x.appendMetadata(list, x.names.RequestMetadata, md)
}

func (x *Interceptor) appendResponseMetadata(ctx context.Context, list []slog.Attr, call *hauberk.Call) []slog.Attr {
	if !x.config.Metadata.Response {
		return list
	}
	header := call.Header()
	if call.Side() == hauberk.ServerSide {
		header = headerOf(ctx)
	}
	list = x.appendMetadata(list, x.names.ResponseHeader, header)
	return x.appendMetadata(list, x.names.ResponseTrailer, call.Trailer())
}

// headerOf returns the response header of a call on a server. grpc-go does not expose
// the trailer.
func headerOf(ctx context.Context) metadata.MD {
	if s, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ Header() (metadata.MD, error) }); ok {
		md, _ := s.Header()
		return md
	}
	return nil
}

// appendMetadata appends a group with the metadata that fits into the limit, without
// secrets. Names that gRPC does not allow are counted with those that do not fit.
func (x *Interceptor) appendMetadata(list []slog.Attr, name string, md metadata.MD) []slog.Attr {
	if len(md) == 0 || name == "" {
		return list
	}
	room, left := x.secrets.limit, 0
	group := make([]slog.Attr, 0, len(md))
	for _, key := range slices.Sorted(maps.Keys(md)) {
		if room <= 0 || !isMetadataName(strings.TrimPrefix(strings.ToLower(key), ":")) {
			left++
			continue
		}
		var v slog.Value
		v, room = x.metadataValue(key, md[key], room)
		group = append(group, slog.Attr{Key: logtext.Cut(key, maxName), Value: v})
	}
	if left > 0 {
		group = append(group, slog.Int("…", left))
	}
	return append(list, slog.Attr{Key: name, Value: slog.GroupValue(group...)})
}

// metadataValue returns the values under a name that fit into room bytes, and the room
// that is left.
func (x *Interceptor) metadataValue(name string, values []string, room int) (v slog.Value, left int) {
	room -= min(len(name), maxName)
	if x.secrets.hide(name) {
		return slog.StringValue(redact.Text), room
	}
	if len(values) == 1 {
		return slog.StringValue(logtext.Cut(values[0], max(room, 0))), room - len(values[0])
	}
	list := make([]string, 0, min(len(values), room+1))
	for _, value := range values {
		if room <= 0 {
			list = append(list, "…")
			break
		}
		list = append(list, logtext.Cut(value, room))
		room -= max(len(value), 1)
	}
	return slog.AnyValue(list), room
}
