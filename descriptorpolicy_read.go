package hauberk

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk/internal/protooption"
	hauberkv1 "github.com/hauberk-rpc/hauberk/proto/hauberk/v1"
)

// FromDescriptors reads the policy of the methods of services from their options: see
// hauberk/v1/policy.proto for each field, and [DescriptorPolicy] for what enforces it.
//
//	policy, err := hauberk.FromDescriptors(shoppb.File_shop_v1_cart_proto.Services().ByName("Cart"))
//
// The error lists everything that is wrong, by service and method: no service, a nil service and
// one that is given twice, contradictions, values out of range, unknown values of enums, and fields that
// this version of the package does not know, since a policy that is only partly understood might
// admit too much.
func FromDescriptors(services ...protoreflect.ServiceDescriptor) (*DescriptorPolicy, error) {
	if len(services) == 0 {
		return nil, errors.New("hauberk: FromDescriptors was given no service: its policy would be empty")
	}
	r := policyReader{seen: make(map[protoreflect.FullName]bool)}
	for i, service := range services {
		if service == nil {
			r.errs = append(r.errs, fmt.Errorf("hauberk: service %d of FromDescriptors is nil", i+1))
			continue
		}
		r.readService(service)
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	slices.SortFunc(r.methods, func(a, b MethodPolicy) int { return cmp.Compare(a.Method, b.Method) })
	return &DescriptorPolicy{Methods: r.methods}, nil
}

// FromRegistry is [FromDescriptors] for services by their full names, such as "shop.v1.Cart". The
// program must link the generated code of their files; the error names those that are unknown.
func FromRegistry(services ...string) (*DescriptorPolicy, error) {
	if len(services) == 0 {
		return nil, errors.New("hauberk: FromRegistry was given no service: its policy would be empty")
	}
	found := make([]protoreflect.ServiceDescriptor, 0, len(services))
	var errs []error
	for _, name := range services {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if service, ok := d.(protoreflect.ServiceDescriptor); err == nil && ok {
			found = append(found, service)
			continue
		}
		errs = append(errs, fmt.Errorf("hauberk: FromRegistry: there is no service %q; "+
			"want the full name of a service whose generated code the program links", name))
	}
	if len(found) == 0 {
		return nil, errors.Join(errs...)
	}
	policy, err := FromDescriptors(found...)
	if err != nil || len(errs) > 0 {
		return nil, errors.Join(append(errs, err)...)
	}
	return policy, nil
}

// policyReader collects the policies of methods and what is wrong with them.
type policyReader struct {
	methods []MethodPolicy
	seen    map[protoreflect.FullName]bool
	errs    []error
}

// fail notes what is wrong with the options of a service or a method.
func (r *policyReader) fail(source string, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("hauberk: %s: %w", source, err))
	}
}

func (r *policyReader) readService(service protoreflect.ServiceDescriptor) {
	name := service.FullName()
	if r.seen[name] {
		r.errs = append(r.errs, fmt.Errorf("hauberk: FromDescriptors was given the service %s twice", name))
		return
	}
	r.seen[name] = true
	common := r.readCommon(service)
	methods := service.Methods()
	for i := range methods.Len() {
		r.readMethod(methods.Get(i), string(name), &common)
	}
}

// readCommon returns the policy of a service for its methods.
func (r *policyReader) readCommon(service protoreflect.ServiceDescriptor) MethodPolicy {
	source := "option (hauberk.v1.service_policy) of " + string(service.FullName())
	stated, err := policyIn(service.Options(), new(descriptorpb.ServiceOptions), hauberkv1.E_ServicePolicy)
	r.fail(source, err)
	common, err := parsePolicy(stated, source)
	r.fail(source, err)
	for i := range common.Limits {
		common.Limits[i].Service = true
	}
	return common
}

// policyOf returns the policy of one method.
func policyOf(method protoreflect.MethodDescriptor) (MethodPolicy, error) {
	service, ok := method.Parent().(protoreflect.ServiceDescriptor)
	if !ok {
		return MethodPolicy{}, fmt.Errorf("hauberk: the method %s has no service", method.FullName())
	}
	var r policyReader
	common := r.readCommon(service)
	r.readMethod(method, string(service.FullName()), &common)
	return r.methods[0], errors.Join(r.errs...)
}

func (r *policyReader) readMethod(method protoreflect.MethodDescriptor, service string, common *MethodPolicy) {
	name := service + "/" + string(method.Name())
	source := "option (hauberk.v1.policy) of " + name
	stated, err := policyIn(method.Options(), new(descriptorpb.MethodOptions), hauberkv1.E_Policy)
	r.fail(source, err)
	m, err := parsePolicy(stated, source)
	r.fail(source, err)
	m.Method = name
	m.inherit(common)
	if err == nil {
		r.fail(source, m.check())
	}
	if m.sources.idempotent == "" {
		if o, ok := method.Options().(*descriptorpb.MethodOptions); ok && o.GetIdempotencyLevel() != 0 {
			m.Idempotent, m.sources.idempotent = true, "option idempotency_level of "+name
			m.NoSideEffects = o.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
		}
	}
	r.methods = append(r.methods, m)
}

// inherit takes from the policy of the service what the method does not set. What the method sets
// wins over what contradicts it.
func (m *MethodPolicy) inherit(common *MethodPolicy) {
	own, from := m.sources, common.sources
	needsIdentity := own.roles != "" || own.scopes != ""
	if own.public == "" && !needsIdentity {
		m.Public, m.sources.public = common.Public, from.public
	}
	if own.roles == "" && !m.Public {
		m.Roles, m.sources.roles = slices.Clone(common.Roles), from.roles
	}
	if own.scopes == "" && !m.Public {
		m.Scopes, m.sources.scopes = slices.Clone(common.Scopes), from.scopes
	}
	if own.idempotent == "" {
		m.Idempotent, m.sources.idempotent = common.Idempotent, from.idempotent
		m.NoSideEffects = common.NoSideEffects
	}
	if own.deadline == "" {
		m.Deadline, m.sources.deadline = common.Deadline, from.deadline
	}
	if own.limits != "" {
		return
	}
	for _, l := range common.Limits {
		if !m.Public || !l.By.byIdentity() {
			m.Limits, m.sources.limits = append(m.Limits, l), from.limits
		}
	}
}

// policyIn returns the policy in options, or an empty one.
func policyIn(options, into proto.Message, extension protoreflect.ExtensionType) (*hauberkv1.Policy, error) {
	value, err := protooption.Get(options, into, extension)
	policy, _ := value.(*hauberkv1.Policy)
	return policy, err
}

// parsePolicy returns the settings of a policy with their source, and what is wrong with them.
func parsePolicy(p *hauberkv1.Policy, source string) (m MethodPolicy, err error) {
	errs := []error{checkUnknown(p)}
	set := func(field *string) { *field = source }
	if p != nil && p.Public != nil {
		m.Public = p.GetPublic()
		set(&m.sources.public)
	}
	if m.Roles = slices.Clone(p.GetRoles()); len(m.Roles) > 0 {
		set(&m.sources.roles)
	}
	if m.Scopes = slices.Clone(p.GetScopes()); len(m.Scopes) > 0 {
		set(&m.sources.scopes)
	}
	if p.GetIdempotency() != 0 {
		m.Idempotent, err = idempotent(p.GetIdempotency())
		m.NoSideEffects = p.GetIdempotency() == hauberkv1.Idempotency_IDEMPOTENCY_NO_SIDE_EFFECTS
		errs = append(errs, err)
		set(&m.sources.idempotent)
	}
	if p.GetDeadline() != nil {
		m.Deadline, err = durationOf(p.GetDeadline())
		errs = append(errs, wrap("deadline", err))
		set(&m.sources.deadline)
	}
	for i, l := range p.GetLimits() {
		limit, err := limitOf(l)
		errs = append(errs, wrap(fmt.Sprintf("limits[%d]", i), err))
		m.Limits = append(m.Limits, limit)
		set(&m.sources.limits)
	}
	if err := errors.Join(errs...); err != nil {
		return m, err
	}
	err = m.check()
	return m, err
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// checkUnknown returns an error for fields of a newer version of the file.
func checkUnknown(p *hauberkv1.Policy) error {
	if p == nil {
		return nil
	}
	unknown := len(p.ProtoReflect().GetUnknown())
	for _, l := range p.GetLimits() {
		unknown += len(l.ProtoReflect().GetUnknown())
	}
	if unknown == 0 {
		return nil
	}
	return errors.New("it has fields that this version of Hauberk does not know; " +
		"want the version of hauberk/v1/policy.proto that the program's Hauberk has")
}

func idempotent(i hauberkv1.Idempotency) (bool, error) {
	switch i {
	case hauberkv1.Idempotency_IDEMPOTENCY_NOT_IDEMPOTENT:
		return false, nil
	case hauberkv1.Idempotency_IDEMPOTENCY_IDEMPOTENT, hauberkv1.Idempotency_IDEMPOTENCY_NO_SIDE_EFFECTS:
		return true, nil
	default:
		return false, fmt.Errorf("idempotency is %d; want %s", i, valuesOf(i))
	}
}

func limitOf(l *hauberkv1.Limit) (MethodLimit, error) {
	per, err := durationOf(l.GetPer())
	limit := MethodLimit{Count: int(l.GetCount()), Per: per}
	errs := []error{wrap("per", err)}
	switch l.GetBy() {
	case hauberkv1.LimitBy_LIMIT_BY_PEER:
		limit.By = LimitByPeer
	case hauberkv1.LimitBy_LIMIT_BY_USER:
		limit.By = LimitByUser
	case hauberkv1.LimitBy_LIMIT_BY_TENANT:
		limit.By = LimitByTenant
	case hauberkv1.LimitBy_LIMIT_BY_GLOBAL:
		limit.By = LimitByGlobal
	default:
		errs = append(errs, fmt.Errorf("by is %d; want %s", l.GetBy(), valuesOf(l.GetBy())))
	}
	return limit, errors.Join(errs...)
}

// valuesOf lists the values of an enum, except that for unset.
func valuesOf(e protoreflect.Enum) string {
	values := e.Descriptor().Values()
	names := make([]string, 0, values.Len())
	for i := range values.Len() {
		if v := values.Get(i); v.Number() != 0 {
			names = append(names, string(v.Name()))
		}
	}
	return strings.Join(names, ", ")
}

// durationOf returns a duration above 0 that a time.Duration can hold.
func durationOf(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, errors.New("it is not set; want more than 0")
	}
	if err := d.CheckValid(); err != nil {
		return 0, err
	}
	switch v := d.AsDuration(); {
	case v <= 0:
		return 0, fmt.Errorf("it is %v; want more than 0", v)
	case v == math.MaxInt64:
		return 0, fmt.Errorf("it is more than %v", v)
	default:
		return v, nil
	}
}
