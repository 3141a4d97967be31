package metricsotel

// The instruments, by the names of gRFC A66 and, the last three, gRFC A96.
const (
	ServerCallStarted  = "grpc.server.call.started"
	ServerCallDuration = "grpc.server.call.duration"
	ServerCallSent     = "grpc.server.call.sent_total_compressed_message_size"
	ServerCallReceived = "grpc.server.call.rcvd_total_compressed_message_size"

	ClientAttemptStarted  = "grpc.client.attempt.started"
	ClientAttemptDuration = "grpc.client.attempt.duration"
	ClientAttemptSent     = "grpc.client.attempt.sent_total_compressed_message_size"
	ClientAttemptReceived = "grpc.client.attempt.rcvd_total_compressed_message_size"
	ClientCallDuration    = "grpc.client.call.duration"

	ClientCallRetries    = "grpc.client.call.retries"
	ClientCallHedges     = "grpc.client.call.hedges"
	ClientCallRetryDelay = "grpc.client.call.retry_delay"
)

// definition defines an instrument.
type definition struct {
	name, unit, description string
	bounds                  []float64
	optional                bool // off by default
}

// The bounds that A66 and A96 recommend: of durations in seconds, of sizes in
// bytes, of retries.
//
//nolint:gochecknoglobals // never written
var (
	latencyBounds = []float64{
		0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008,
		0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4,
		0.5, 0.65, 0.8, 1, 2, 5, 10, 20, 50, 100,
	}
	sizeBounds = []float64{
		0, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20,
		256 << 20, 1 << 30, 4 << 30,
	}
	retryBounds = []float64{1, 2, 3, 4, 5}
)

// The names and units are those of the gRFCs. The descriptions are those that grpc-go registers: an
// SDK treats instruments with different descriptions as different instruments.
var definitions = [...]definition{ //nolint:gochecknoglobals // never written
	{name: ServerCallStarted, unit: "{call}", description: "Number of server calls started."},
	{
		name: ServerCallDuration, unit: "s", bounds: latencyBounds,
		description: "End-to-end time taken to complete a call from server transport's perspective.",
	},
	{
		name: ServerCallSent, unit: "By", bounds: sizeBounds,
		description: "Compressed message bytes sent per server call.",
	},
	{
		name: ServerCallReceived, unit: "By", bounds: sizeBounds,
		description: "Compressed message bytes received per server call.",
	},
	{name: ClientAttemptStarted, unit: "{attempt}", description: "Number of client call attempts started."},
	{
		name: ClientAttemptDuration, unit: "s", bounds: latencyBounds,
		description: "End-to-end time taken to complete a client call attempt.",
	},
	{
		name: ClientAttemptSent, unit: "By", bounds: sizeBounds,
		description: "Compressed message bytes sent per client call attempt.",
	},
	{
		name: ClientAttemptReceived, unit: "By", bounds: sizeBounds,
		description: "Compressed message bytes received per call attempt.",
	},
	{
		name: ClientCallDuration, unit: "s", bounds: latencyBounds,
		description: "Time taken by gRPC to complete an RPC from application's perspective.",
	},
	{
		name: ClientCallRetries, unit: "{retry}", bounds: retryBounds, optional: true,
		description: "Number of retries during the client call. If there were no retries, 0 is not reported.",
	},
	{
		name: ClientCallHedges, unit: "{hedge}", bounds: retryBounds, optional: true,
		description: "Number of hedges during the client call. If there were no hedges, 0 is not reported.",
	},
	{
		name: ClientCallRetryDelay, unit: "s", bounds: latencyBounds, optional: true,
		description: "Total time of delay while there is no active attempt during the client call.",
	},
}

func defined(name string) definition {
	for _, d := range &definitions {
		if d.name == name {
			return d
		}
	}
	panic("metricsotel: no definition of " + name)
}
