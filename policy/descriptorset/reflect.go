package descriptorset

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// maxFiles bounds how many files a server can make a client ask for.
const maxFiles = 10_000

// The method of reflection in its two versions, which have the same messages.
const (
	reflectV1      = pb.ServerReflection_ServerReflectionInfo_FullMethodName
	reflectV1Alpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
)

// Reflect asks a server for its services, with the service grpc.reflection.v1.ServerReflection, or, if the server does
// not have that, grpc.reflection.v1alpha.ServerReflection. Services that the server names without descriptors are left
// out. It reads until ctx is done.
func Reflect(ctx context.Context, conn grpc.ClientConnInterface) (*Set, error) {
	set, err := reflectWith(ctx, conn, reflectV1)
	if status.Code(err) == codes.Unimplemented {
		return reflectWith(ctx, conn, reflectV1Alpha)
	}
	return set, err
}

func reflectWith(ctx context.Context, conn grpc.ClientConnInterface, method string) (*Set, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := conn.NewStream(ctx, &pb.ServerReflection_ServiceDesc.Streams[0], method)
	if err != nil {
		return nil, fmt.Errorf("the server does not answer reflection: %w", err)
	}
	r := &reflector{seen: make(map[string]bool), set: new(descriptorpb.FileDescriptorSet)}
	r.stream = &grpc.GenericClientStream[pb.ServerReflectionRequest, pb.ServerReflectionResponse]{ClientStream: stream}
	services, err := r.services()
	if err != nil {
		return nil, err
	}
	for _, name := range services {
		err := r.fetch(&pb.ServerReflectionRequest{
			MessageRequest: &pb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
		})
		if answer, ok := errors.AsType[*answerError](err); ok && answer.code == codes.NotFound && len(r.missing) == 0 {
			continue // such as one with handlers without generated code
		}
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
	}
	return newSet(r.set, services)
}

// answerError is an error that the server has answered a request with.
type answerError struct {
	code    codes.Code
	message string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("reflection: %s (code %d)", e.message, e.code)
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
		return nil, &answerError{codes.Code(e.GetErrorCode()), e.GetErrorMessage()}
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
