package policycmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk/policy/descriptorset"
)

// reflectTime bounds the time to ask a server for its services.
const reflectTime = 10 * time.Second

// services are the services that a policy is checked against.
type services struct {
	descriptors, reflect, reflectCA string
	set                             *descriptorset.Set // nil if none are known
}

// flagsError is an error of the command line.
type flagsError struct{ error }

// flags adds the flags that name the services.
func (s *services) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.descriptors, "descriptors", "",
		"file with the descriptors of the services: buf build -o FILE, or\n"+
			"protoc --include_imports --descriptor_set_out=FILE")
	flags.StringVar(&s.reflect, "reflect", "", "address of a server that has the services, and reflection")
	flags.StringVar(&s.reflectCA, "reflect-ca", "",
		"file with authorities in PEM: --reflect uses TLS (default: plain text)")
}

// read reads the descriptors, if a flag names some.
func (s *services) read(ctx context.Context) (err error) {
	switch {
	case s.descriptors != "" && s.reflect != "":
		return flagsError{errors.New("--descriptors and --reflect are both set; want one of them")}
	case s.reflectCA != "" && s.reflect == "":
		return flagsError{errors.New("--reflect-ca is set without --reflect")}
	case s.descriptors != "":
		if s.set, err = descriptorset.Read(s.descriptors); err != nil {
			return fmt.Errorf("--descriptors: %w", err)
		}
	case s.reflect != "":
		if s.set, err = s.ask(ctx); err != nil {
			return fmt.Errorf("--reflect %s: %w", s.reflect, err)
		}
	}
	return nil
}

func (s *services) ask(ctx context.Context) (*descriptorset.Set, error) {
	creds := insecure.NewCredentials()
	if s.reflectCA != "" {
		var err error
		if creds, err = credentials.NewClientTLSFromFile(s.reflectCA, ""); err != nil {
			return nil, err
		}
	}
	conn, err := grpc.NewClient(s.reflect, grpc.WithTransportCredentials(creds))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, reflectTime)
	defer cancel()
	return descriptorset.Reflect(ctx, conn)
}
