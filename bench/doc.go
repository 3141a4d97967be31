// Command bench compares Hauberk with bare grpc-go, go-grpc-middleware, otelgrpc and a
// plain grpc-go proxy, interleaved in one run. Run it with "make bench" in the project's
// root folder. It has five kinds of measurement:
//
//   - process: generated handlers and clients run in this process, without a network. The
//     results are the time and the allocations of a call beyond those of the bare call.
//   - servers, proxies: child processes serve calls over loopback TCP. The results are the
//     CPU time of the child per call, as ratios.
//   - sidecar: the gateway with both transports, Envoy, nginx, HAProxy and a plain grpc-go
//     proxy under several loads: CPU time of the process for each call, throughput, latency,
//     and memory for each idle stream. Proxies that are not installed are left out.
//   - profile: CPU profiles of two loaded servers. The result is the CPU time of each
//     interceptor, the chain, grpc-go and the Go runtime per call.
//   - curves: the cost of a call against the number of interceptors, methods and limiter
//     keys, and the memory of a server against the number of its open streams.
//
// It writes results.json, and from that RESULTS.md (what users want to know), BUDGETS.md
// (every row with its budget) and curves/ (CSV and SVG). With -short it takes fewer and
// shorter samples: a check that everything runs, not figures to quote.
package main
