package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	formance "github.com/formancehq/formance-sdk-go/v3"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/operations"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/shared"
)

// life is what one run of the operations has made so far: each builds on those before it.
type life struct {
	context   context.Context
	api       *formance.FormanceOrchestrationV1
	recording *recorder
	url       string
	ledger    string
	tag       string

	paying   shared.Workflow // send, delay, update, wait_event
	waiting  shared.Workflow // wait_event
	instance shared.WorkflowInstance
	trigger  shared.Trigger
	second   secondLife
	bugs     []bug
}

// bug is a known fault of the SDK, shown anew by each run: one that is gone must leave the caller's list.
type bug struct {
	Trap  string `json:"trap"`
	Shown string `json:"shown"`
}

func (l *life) takeBugs() []bug {
	taken := l.bugs
	l.bugs = nil
	return taken
}

func (l *life) create(name string, stages []map[string]any) (shared.Workflow, error) {
	reply, err := l.api.CreateWorkflow(l.context, &shared.CreateWorkflowRequest{Name: &name, Stages: stages})
	if err != nil {
		return shared.Workflow{}, err
	}
	return reply.CreateWorkflowResponse.Data, equal("status", reply.StatusCode, http.StatusCreated)
}

func (l *life) start(request operations.RunWorkflowRequest) (shared.WorkflowInstance, error) {
	reply, err := l.api.RunWorkflow(l.context, request)
	if err != nil {
		return shared.WorkflowInstance{}, err
	}
	return reply.RunWorkflowResponse.Data, equal("status", reply.StatusCode, http.StatusCreated)
}

func (l *life) read(instanceID string) (shared.WorkflowInstance, error) {
	reply, err := l.api.GetInstance(l.context, operations.GetInstanceRequest{InstanceID: instanceID})
	if err != nil {
		return shared.WorkflowInstance{}, err
	}
	return reply.GetWorkflowInstanceResponse.Data, equal("status", reply.StatusCode, http.StatusOK)
}

// readOnce reads the instance until it is as wanted.
func (l *life) readOnce(
	instanceID, what string, isSo func(shared.WorkflowInstance) bool,
) (found shared.WorkflowInstance, err error) {
	err = until(what, func() (bool, error) {
		found, err = l.read(instanceID)
		return err == nil && isSo(found), err
	})
	return found, err
}

func (l *life) readEnded(instanceID string) (shared.WorkflowInstance, error) {
	isEnded := func(one shared.WorkflowInstance) bool { return one.Terminated }
	ended, err := l.readOnce(instanceID, "the instance has ended", isEnded)
	if err != nil {
		return ended, err
	}
	return ended, holds("an ended instance has terminatedAt", ended.TerminatedAt != nil)
}

func (l *life) instances(request operations.ListInstancesRequest) (map[string]shared.WorkflowInstance, error) {
	reply, err := l.api.ListInstances(l.context, request)
	if err != nil {
		return nil, err
	}
	return byID(reply.ListRunsResponse.Data, func(one shared.WorkflowInstance) string { return one.ID }), nil
}

func (l *life) workflows() (map[string]shared.Workflow, error) {
	reply, err := l.api.ListWorkflows(l.context)
	if err != nil {
		return nil, err
	}
	return byID(reply.ListWorkflowsResponse.Data, func(one shared.Workflow) string { return one.ID }), nil
}

func (l *life) triggers(name string) (map[string]shared.Trigger, error) {
	reply, err := l.api.ListTriggers(l.context, operations.ListTriggersRequest{Name: &name})
	if err != nil {
		return nil, err
	}
	return byID(reply.ListTriggersResponse.Data, func(one shared.Trigger) string { return one.ID }), nil
}

func byID[T any](rows []T, id func(T) string) map[string]T {
	found := map[string]T{}
	for _, row := range rows {
		found[id(row)] = row
	}
	return found
}

// publish sends an event the way a service would. The SDK has no call for it, so it borrows the token of the SDK's last write.
func (l *life) publish(payload map[string]any) error {
	envelope, err := json.Marshal(map[string]any{
		"type": l.event(), "app": "conformance", "version": "v1", "date": "2024-05-01T10:00:00Z", "payload": payload,
	})
	if err != nil {
		return err
	}
	address := l.url + "/api/orchestration/ext/events"
	request, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(envelope))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if l.recording.authorization != "" {
		request.Header.Set("Authorization", l.recording.authorization)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	return equal("status of an event", reply.StatusCode, http.StatusAccepted)
}

func (l *life) event() string {
	return fmt.Sprintf("CONFORMANCE_%s", l.tag)
}
