package cache

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/answerkey"
	"github.com/hauberk-rpc/hauberk/internal/protomessage"
)

// overhead is about what an answer takes in addition to its message and metadata, in bytes.
const overhead = 350

// largest is the part of Config.MaxBytes that one answer may take.
const largest = 8

// answer is what is kept of a call. It is immutable.
type answer struct {
	method          string
	request         keySum
	message         proto.Message
	header, trailer metadata.MD
	size            int64
	kept            time.Duration // when
	aged            time.Duration // its age then
	lifetime        time.Duration // from age 0
	mustRevalidate  bool
}

// answerOf returns the answer of a call that has ended with OK, or nil if it must not be kept.
func (x *Interceptor) answerOf(key answerkey.Key, call *hauberk.Call) *answer {
	message, ok := protomessage.Of(call.Response())
	if !ok {
		return nil
	}
	a := &answer{
		method: call.Method().FullName(), request: key.Request, kept: x.now(), lifetime: x.config.TTL,
		header: call.Header().Copy(), trailer: call.Trailer().Copy(), // the application may modify its own
	}
	says := parse(slices.Concat(a.header.Get(header), a.trailer.Get(header)))
	if says.noStore || says.noCache || says.private && x.shares(call) {
		return nil
	}
	if ages := a.header.Get("age"); len(ages) > 0 {
		a.aged = seconds(ages[0])
	}
	if says.hasMaxAge {
		a.lifetime = min(says.maxAge, x.config.MaxTTL)
	}
	a.mustRevalidate = says.mustRevalidate
	if a.aged >= a.lifetime {
		return nil
	}
	a.size = overhead + int64(proto.Size(message)) + sizeOf(a.header) + sizeOf(a.trailer)
	if a.size > x.config.MaxBytes/largest {
		return nil
	}
	a.message = proto.Clone(message)
	return a
}

// shares reports whether calls of several callers may have the key of a call.
func (x *Interceptor) shares(call *hauberk.Call) bool {
	if x.config.AcrossIdentities {
		return true
	}
	id, _ := hauberk.IdentityKey.Get(call)
	return call.Side() == hauberk.ServerSide && id == nil
}

// age returns the age of an answer at a time. A clock that is set back makes no answer younger than it
// was when it was kept.
func (a *answer) age(now time.Duration) time.Duration { return a.aged + max(now-a.kept, 0) }

// headerAt returns the header of an answer at a time, with its age.
func (a *answer) headerAt(now time.Duration) metadata.MD {
	md := make(metadata.MD, len(a.header)+1)
	maps.Copy(md, a.header)
	md["age"] = []string{strconv.FormatInt(int64(a.age(now)/time.Second), 10)}
	return md
}

func sizeOf(md metadata.MD) (size int64) {
	for key, values := range md {
		for _, v := range values {
			size += int64(len(key) + len(v) + 32)
		}
	}
	return size
}
