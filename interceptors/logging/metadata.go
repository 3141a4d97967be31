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
)

// names are those of metadata that is not to be logged.
type names struct {
	whole map[string]bool
	ends  []string
	limit int // of what is logged, in bytes
}

// secretNames are those that no one has to name.
//
//nolint:gochecknoglobals // never written
var secretNames = []string{
	"*-authorization", "*-cookie", "*-token", "*-key", "*-bin",
}

func (x *Interceptor) newNames(c Metadata) names {
	n := names{whole: make(map[string]bool), limit: x.maxBytes(c.MaxBytes, "Config.Metadata.MaxBytes")}
	for _, name := range slices.Concat(secretNames, c.Redact) {
		end, isEnd := strings.CutPrefix(spelling(name), "*")
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

// spelling returns the one spelling of names that differ in case, or in what parts
// their words.
func spelling(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(name), "_", "-"), ".", "-")
}

func (n *names) hide(name string) bool {
	name = spelling(name)
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
	return x.appendMetadata(list, KeyRequestMetadata, md)
}

func (x *Interceptor) appendResponseMetadata(ctx context.Context, list []slog.Attr, call *hauberk.Call) []slog.Attr {
	if !x.config.Metadata.Response {
		return list
	}
	header := call.Header()
	if call.Side() == hauberk.ServerSide {
		header = headerOf(ctx)
	}
	list = x.appendMetadata(list, KeyResponseHeader, header)
	return x.appendMetadata(list, KeyResponseTrailer, call.Trailer())
}

// headerOf returns the header of a call on a server, of whose trailer grpc-go does
// not tell.
func headerOf(ctx context.Context) metadata.MD {
	if s, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ Header() (metadata.MD, error) }); ok {
		md, _ := s.Header()
		return md
	}
	return nil
}

// appendMetadata appends a group with what fits of metadata, without what is
// secret. Names that gRPC does not have are counted with what does not fit.
func (x *Interceptor) appendMetadata(list []slog.Attr, key string, md metadata.MD) []slog.Attr {
	if len(md) == 0 {
		return list
	}
	room, left := x.secrets.limit, 0
	group := make([]slog.Attr, 0, len(md))
	for _, name := range slices.Sorted(maps.Keys(md)) {
		if room <= 0 || !isMetadataName(strings.TrimPrefix(strings.ToLower(name), ":")) {
			left++
			continue
		}
		var v slog.Value
		v, room = x.metadataValue(name, md[name], room)
		group = append(group, slog.Attr{Key: logtext.Cut(name, maxName), Value: v})
	}
	if left > 0 {
		group = append(group, slog.Int("…", left))
	}
	return append(list, slog.Attr{Key: key, Value: slog.GroupValue(group...)})
}

// metadataValue returns the values under a name, as many as have room, and the room
// that is left.
func (x *Interceptor) metadataValue(name string, values []string, room int) (v slog.Value, left int) {
	room -= min(len(name), maxName)
	if x.secrets.hide(name) {
		return slog.StringValue(redacted), room
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
