package descriptorset

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// maxFiles bounds how many files a server can make a client ask for.
const maxFiles = 10_000

// Reflect asks a server for its services, with the service grpc.reflection.v1.ServerReflection. It reads until ctx is
// done.
func Reflect(ctx context.Context, conn grpc.ClientConnInterface) (*Set, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := pb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("the server does not answer reflection: %w", err)
	}
	r := &reflector{stream: stream, seen: make(map[string]bool), set: new(descriptorpb.FileDescriptorSet)}
	services, err := r.services()
	if err != nil {
		return nil, err
	}
	for _, name := range services {
		if err := r.fetch(&pb.ServerReflectionRequest{
			MessageRequest: &pb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
		}); err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
	}
	return newSet(r.set, services)
}

// reflector reads the files of a server.
type reflector struct {
	stream  grpc.BidiStreamingClient[pb.ServerReflectionRequest, pb.ServerReflectionResponse]
	seen    map[string]bool
	set     *descriptorpb.FileDescriptorSet
	missing []string // imports that were not sent
	size    int
}

func (r *reflector) ask(req *pb.ServerReflectionRequest) (*pb.ServerReflectionResponse, error) {
	if err := r.stream.Send(req); err != nil {
		_, err = r.stream.Recv() // the status
		return nil, fmt.Errorf("reflection: %w", err)
	}
	resp, err := r.stream.Recv()
	if err != nil {
		return nil, fmt.Errorf("reflection: %w", err)
	}
	if e := resp.GetErrorResponse(); e != nil {
		return nil, fmt.Errorf("reflection: %s (code %d)", e.GetErrorMessage(), e.GetErrorCode())
	}
	return resp, nil
}

func (r *reflector) services() (names []string, err error) {
	names = []string{}
	resp, err := r.ask(&pb.ServerReflectionRequest{MessageRequest: &pb.ServerReflectionRequest_ListServices{}})
	if err != nil {
		return nil, err
	}
	for _, s := range resp.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	return names, nil
}

// fetch reads the files that answer a request, and what they import.
func (r *reflector) fetch(req *pb.ServerReflectionRequest) error {
	if err := r.file(req); err != nil {
		return err
	}
	for len(r.missing) > 0 {
		name := r.missing[0]
		r.missing = r.missing[1:]
		if r.seen[name] {
			continue
		}
		if err := r.file(&pb.ServerReflectionRequest{
			MessageRequest: &pb.ServerReflectionRequest_FileByFilename{FileByFilename: name},
		}); err != nil {
			return fmt.Errorf("file %s: %w", name, err)
		}
		if !r.seen[name] {
			return fmt.Errorf("file %s: the server has sent another file", name)
		}
	}
	return nil
}

func (r *reflector) file(req *pb.ServerReflectionRequest) error {
	resp, err := r.ask(req)
	if err != nil {
		return err
	}
	for _, raw := range resp.GetFileDescriptorResponse().GetFileDescriptorProto() {
		var f descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(raw, &f); err != nil {
			return fmt.Errorf("reflection: %w", err)
		}
		if r.seen[f.GetName()] {
			continue
		}
		if r.size += len(raw); r.size > MaxSize || len(r.seen) >= maxFiles {
			return errors.New("reflection: the server has too many or too large files")
		}
		r.seen[f.GetName()] = true
		r.set.File = append(r.set.File, &f)
		r.missing = append(r.missing, f.GetDependency()...)
	}
	return nil
}
