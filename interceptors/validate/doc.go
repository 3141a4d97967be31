// Package validate validates messages by the rules in their .proto files, with protovalidate
// (buf.build/go/protovalidate, https://protovalidate.com), on servers and clients, for every
// kind of call.
//
//	chain, err := hauberk.New(authenticate, validate.New(validate.Config{}))
//
// The rules import buf/validate/validate.proto. docs/policy-in-proto.md says where protoc and buf
// find it.
//
// # Which messages
//
//	setting           on a server         on a client
//	always            received requests   -
//	Config.Responses  -                   received responses
//	Config.Sent       sent responses      sent requests
//
// Without Responses and Sent the interceptor works on servers only. Methods in [Config].Except
// and messages of the types in [Config].ExceptMessages pass unchanged.
//
// Messages of protobuf are validated, those of its first Go API too. Messages of other codecs
// and a *grpc.PreparedMsg pass, or end the call with [Config].Strict.
//
// # Violations
//
// A call with an invalid message ends with a [hauberk.Rejection]:
//
//   - An invalid request, on both sides: INVALID_ARGUMENT with the reason INVALID_REQUEST, and a
//     google.rpc.BadRequest with the path of each field as protovalidate prints it and, as its
//     description, the message and the id of the rule: "must be greater than 0 [int32.gt]". A
//     client does not send an invalid request.
//   - An invalid response, on both sides: INTERNAL with the reason INVALID_RESPONSE, without
//     details, since the caller cannot correct it. A server does not send an invalid response.
//
// In process errors.Is finds [ErrInvalid], and errors.As finds the
// *protovalidate.ValidationError with all violations, or the first one of a message above 8 KiB
// ([Config].FailFast). The status has at most [Config].MaxViolations and about 4 KiB of them: a
// status travels in a trailer, which clients bound. Paths contain keys of maps, so parts of the
// request.
//
// # Streams
//
// Config.Invalid determines what becomes of a stream with an invalid message: it ends ([End],
// the default), the message is dropped ([Drop]), or the call is answered with a message of the
// application ([Answer]). An invalid message that was sent or received before does not delay
// others.
//
// # Rules that cannot be used
//
// The rules of a message type are compiled once, when the first message of the type arrives, or
// by [New] with [WithServices]. If they do not compile, and this includes the rules of the
// messages in its fields, hauberk.New reports it with WithServices. Otherwise each call with such
// a message ends with INTERNAL and the reason RULES_NOT_COMPILED, and the compiler's error is
// logged once for each type. A rule that fails when it is evaluated ends the call with INTERNAL
// and the reason RULES_NOT_EVALUATED. In both cases the cause of the rejection has the error,
// which is not sent.
//
// At most [Config].MaxTypes types are kept. Programs with generated code stay far below that. A
// proxy that makes a new descriptor for each call does not: if there are more, all are discarded
// and compiled again when they are needed.
//
// # Decisions
//
// Invalid messages are recorded ([hauberk.Call.Decisions]) with the path and the rule of the
// first violation. In [hauberk.Shadow] messages are validated and nothing is enforced.
package validate
