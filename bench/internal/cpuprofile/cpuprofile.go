// Package cpuprofile divides the samples of a server's CPU profile among Hauberk's
// interceptors, its chain, grpc-go, the service and the Go runtime.
package cpuprofile

import (
	"fmt"
	"os"
	"strings"

	"github.com/google/pprof/profile"
)

// The parts of a process that are not interceptors.
const (
	Chain   = "chain"              // Hauberk's root package
	GRPC    = "grpc-go"            // its server and transport, system calls included
	Service = "service"            // the handler of the call
	GC      = "garbage collection" // in the background
	Runtime = "Go runtime"         // scheduler, network poller and timers
)

// Profile is how many samples each part has: the parts above, and each interceptor by the
// name of its package.
type Profile struct {
	Samples map[string]int64
	Total   int64
}

// Read reads a CPU profile that runtime/pprof has written.
func Read(file string) (*Profile, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return divide(p), nil
}

func divide(p *profile.Profile) *Profile {
	out := &Profile{Samples: make(map[string]int64)}
	for _, s := range p.Sample {
		out.Samples[Part(stack(s))] += s.Value[0]
		out.Total += s.Value[0]
	}
	return out
}

// stack returns the functions of a sample, the innermost first.
func stack(s *profile.Sample) []string {
	functions := make([]string, 0, 64)
	for _, location := range s.Location {
		for _, line := range location.Line { // the innermost of inlined functions is first
			functions = append(functions, line.Function.Name)
		}
	}
	return functions
}

const (
	module = "github.com/hauberk-rpc/hauberk"
	grpc   = "google.golang.org/grpc"
)

// Part returns the part that a stack counts for; its innermost function is first. That is
// the part of the innermost frame that is in an interceptor, in the chain, in the service
// or in grpc-go's server. All other functions count for their callers: the standard library,
// memory allocation, grpc-go's metadata and status, and Hauberk's internal packages.
func Part(stack []string) string {
	background, inServer := Runtime, false
	for _, function := range stack {
		switch part := partOf(function); {
		case part == GRPC:
			inServer = true
		case part == GC:
			background = GC
		case helpers[function]:
			inServer = false
		case part == "":
		case inServer:
			return GRPC
		default:
			return part
		}
	}
	if inServer {
		return GRPC
	}
	return background
}

// helpers are functions of grpc-go that an interceptor calls for itself. They and the
// transport's functions that they call count for their callers.
var helpers = map[string]bool{
	grpc + ".SetHeader":                        true,
	grpc + ".SendHeader":                       true,
	grpc + ".SetTrailer":                       true,
	grpc + ".Method":                           true,
	grpc + ".ServerTransportStreamFromContext": true,
}

// partOf returns the part of a function, or "" if it counts for its caller.
func partOf(function string) string {
	pkg := packageOf(function)
	switch {
	case helpers[function]:
		return ""
	case pkg == grpc, pkg == grpc+"/internal/transport", pkg == grpc+"/mem", strings.HasPrefix(pkg, grpc+"/encoding"):
		return GRPC
	case pkg == module:
		return Chain
	case pkg == "main", strings.HasPrefix(pkg, module+"/hauberktest"):
		return Service
	case pkg == "runtime":
		if strings.HasPrefix(function, "runtime.gcBgMarkWorker") || strings.HasPrefix(function, "runtime.bg") {
			return GC
		}
		return ""
	}
	if rest, ok := strings.CutPrefix(pkg, module+"/interceptors/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	return ""
}

// packageOf returns the path of a function's package: "a.b/c" of "a.b/c.(*T).Method[...]".
func packageOf(function string) string {
	function, _, _ = strings.Cut(function, "[") // type arguments contain paths, too
	slash := strings.LastIndexByte(function, '/') + 1
	if dot := strings.IndexByte(function[slash:], '.'); dot >= 0 {
		return function[:slash+dot]
	}
	return function
}
