package main

import (
	"errors"
	"fmt"
	"net/http"

	formance "github.com/formancehq/formance-sdk-go/v3"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/operations"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/sdkerrors"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/shared"
)

// secondLife is what a run of the operations of V2 has made so far. It starts where V1 ended, with workflows of its own.
type secondLife struct {
	api *formance.FormanceV2

	paying   shared.V2Workflow // send, wait_event
	waiting  shared.V2Workflow // wait_event
	instance shared.V2WorkflowInstance
	trigger  shared.V2Trigger
}

var v2Operations = []operation{
	{"v2", "v2GetServerInfo", v2GetServerInfo},
	{"v2", "v2CreateWorkflow", v2CreateWorkflow},
	{"v2", "v2ListWorkflows", v2ListWorkflows},
	{"v2", "v2GetWorkflow", v2GetWorkflow},
	{"v2", "v2RunWorkflow", v2RunWorkflow},
	{"v2", "v2ListInstances", v2ListInstances},
	{"v2", "v2GetInstance", v2GetInstance},
	{"v2", "v2GetInstanceHistory", v2GetInstanceHistory},
	{"v2", "v2GetInstanceStageHistory", v2GetInstanceStageHistory},
	{"v2", "v2SendEvent", v2SendEvent},
	{"v2", "v2CancelEvent", v2CancelEvent},
	{"v2", "v2CreateTrigger", v2CreateTrigger},
	{"v2", "v2ListTriggers", v2ListTriggers},
	{"v2", "v2ReadTrigger", v2ReadTrigger},
	{"v2", "testTrigger", testTrigger},
	{"v2", "v2ListTriggersOccurrences", v2ListTriggersOccurrences},
	{"v2", "v2DeleteTrigger", v2DeleteTrigger},
	{"v2", "v2DeleteWorkflow", v2DeleteWorkflow},
}

// refusedV2 wants the error that V2 declares, which has the fields of V1's.
func refusedV2(what string, code sdkerrors.SchemasErrorCode, err error) error {
	var declared *sdkerrors.V2Error
	if !errors.As(err, &declared) {
		return fmt.Errorf("%s: want %s, got %T: %v", what, code, err, err)
	}
	return errors.Join(
		equal(what, declared.ErrorCode, code),
		holds(what+": has a message", declared.ErrorMessage != ""),
	)
}

// page is what every list of V2 answers with.
type page[T any] struct {
	rows     []T
	hasMore  bool
	next     *string
	previous *string
	pageSize int64
}

// walked reads a list to its end by pages of this size, and back to its beginning: both ways give the same rows.
func walked[T any](size int64, read func(pageSize *int64, cursor *string) (page[T], error)) ([]T, error) {
	here, err := read(&size, nil)
	if err != nil {
		return nil, err
	}
	rows, pages := here.rows, []page[T]{here}
	for here.hasMore {
		if here.next == nil {
			return nil, errors.New("there is more, but no next")
		}
		if here, err = read(nil, here.next); err != nil {
			return nil, err
		}
		rows, pages = append(rows, here.rows...), append(pages, here)
	}
	for index := len(pages) - 2; index >= 0; index-- {
		if here.previous == nil {
			return nil, errors.New("a page behind the first has no previous")
		}
		if here, err = read(nil, here.previous); err != nil {
			return nil, err
		}
		if err := equal("a page on the way back", here.rows, pages[index].rows); err != nil {
			return nil, err
		}
	}
	return rows, errors.Join(
		holds("the first page has no previous", here.previous == nil),
		equal("the page size travels in the cursor", here.pageSize, size),
	)
}

func v2GetServerInfo(l *life) error {
	reply, err := l.second.api.GetServerInfo(l.context)
	if err != nil {
		return err
	}
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusOK),
		holds("there is a version", reply.V2ServerInfo.Version != ""),
	)
}

// workflows

func (l *life) createV2(stages []map[string]any) (shared.V2Workflow, error) {
	request := &shared.V2CreateWorkflowRequest{Name: &l.tag, Stages: stages}
	reply, err := l.second.api.CreateWorkflow(l.context, request)
	if err != nil {
		return shared.V2Workflow{}, err
	}
	return reply.V2CreateWorkflowResponse.Data, equal("status", reply.StatusCode, http.StatusCreated)
}

func v2CreateWorkflow(l *life) (err error) {
	stages := []map[string]any{payingStages(l.ledger)[0], waitStage()}
	if l.second.paying, err = l.createV2(stages); err != nil {
		return err
	}
	if l.second.waiting, err = l.createV2([]map[string]any{waitStage()}); err != nil {
		return err
	}
	_, noStages := l.createV2([]map[string]any{})
	_, noBody := l.second.api.CreateWorkflow(l.context, nil)
	return errors.Join(
		equal("name", l.second.paying.Config.Name, l.tag),
		equal("stages", l.second.paying.Config.Stages, stages),
		refusedV2("no stages", sdkerrors.SchemasErrorCodeValidation, noStages),
		refusedV2("no body", sdkerrors.SchemasErrorCodeValidation, noBody),
	)
}

func v2ListWorkflows(l *life) error {
	rows, err := walked(1, l.workflowsV2)
	if err != nil {
		return err
	}
	_, badSize := l.workflowsV2(formance.Int64(0), nil)
	_, badCursor := l.workflowsV2(nil, formance.String("nothing"))
	listed := byID(rows, func(one shared.V2Workflow) string { return one.ID })
	return errors.Join(
		equal("rows that are not repeated", len(listed), len(rows)),
		equal("one of the list", listed[l.second.paying.ID], l.second.paying),
		equal("the other", listed[l.second.waiting.ID], l.second.waiting),
		refusedV2("a page of none", sdkerrors.SchemasErrorCodeValidation, badSize),
		refusedV2("a cursor that is none", sdkerrors.SchemasErrorCodeValidation, badCursor),
	)
}

func (l *life) workflowsV2(pageSize *int64, cursor *string) (page[shared.V2Workflow], error) {
	request := operations.V2ListWorkflowsRequest{PageSize: pageSize, Cursor: cursor}
	reply, err := l.second.api.ListWorkflows(l.context, request)
	if err != nil {
		return page[shared.V2Workflow]{}, err
	}
	found := reply.V2ListWorkflowsResponse.Cursor
	return page[shared.V2Workflow]{found.Data, found.HasMore, found.Next, found.Previous, found.PageSize}, nil
}

func v2GetWorkflow(l *life) error {
	reply, err := l.second.api.GetWorkflow(l.context, operations.V2GetWorkflowRequest{FlowID: l.second.paying.ID})
	if err != nil {
		return err
	}
	_, unknown := l.second.api.GetWorkflow(l.context, operations.V2GetWorkflowRequest{FlowID: unknownID})
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusOK),
		equal("workflow", reply.V2GetWorkflowResponse.Data, l.second.paying),
		refusedV2("an unknown workflow", sdkerrors.SchemasErrorCodeNotFound, unknown),
	)
}

func (l *life) startV2(request operations.V2RunWorkflowRequest) (shared.V2WorkflowInstance, error) {
	reply, err := l.second.api.RunWorkflow(l.context, request)
	if err != nil {
		return shared.V2WorkflowInstance{}, err
	}
	return reply.V2RunWorkflowResponse.Data, equal("status", reply.StatusCode, http.StatusCreated)
}

func v2RunWorkflow(l *life) (err error) {
	l.second.instance, err = l.startV2(operations.V2RunWorkflowRequest{
		WorkflowID:  l.second.paying.ID,
		RequestBody: map[string]string{"account": l.account(), "amount": amount},
	})
	if err != nil {
		return err
	}
	for index := 0; index < 2; index++ {
		if _, err := l.startV2(operations.V2RunWorkflowRequest{WorkflowID: l.second.waiting.ID}); err != nil {
			return err
		}
	}
	_, missing := l.startV2(operations.V2RunWorkflowRequest{WorkflowID: l.second.paying.ID})
	return errors.Join(
		equal("workflow of the instance", l.second.instance.WorkflowID, l.second.paying.ID),
		refusedV2("variables are missing", sdkerrors.SchemasErrorCodeValidation, missing),
	)
}

// instances

func v2ListInstances(l *life) error {
	filtered := operations.V2ListInstancesRequest{WorkflowID: &l.second.waiting.ID, Running: formance.Bool(true)}
	rows, err := walked(1, func(pageSize *int64, cursor *string) (page[shared.V2WorkflowInstance], error) {
		if cursor != nil {
			return l.instancesV2(operations.V2ListInstancesRequest{Cursor: cursor})
		}
		filtered.PageSize = pageSize
		return l.instancesV2(filtered)
	})
	if err != nil {
		return err
	}
	all, err := l.instancesV2(operations.V2ListInstancesRequest{Running: formance.Bool(false)})
	if err != nil {
		return err
	}
	found := []error{
		equal("how many run", len(rows), 2),
		equal("the page size that is not asked for", all.pageSize, 15),
	}
	for _, row := range rows {
		found = append(found, equal("workflow", row.WorkflowID, l.second.waiting.ID))
	}
	return errors.Join(found...)
}

func (l *life) instancesV2(request operations.V2ListInstancesRequest) (page[shared.V2WorkflowInstance], error) {
	reply, err := l.second.api.ListInstances(l.context, request)
	if err != nil {
		return page[shared.V2WorkflowInstance]{}, err
	}
	found := reply.V2ListRunsResponse.Cursor
	return page[shared.V2WorkflowInstance]{found.Data, found.HasMore, found.Next, found.Previous, found.PageSize}, nil
}

func (l *life) readV2(
	instanceID, what string, isSo func(shared.V2WorkflowInstance) bool,
) (found shared.V2WorkflowInstance, err error) {
	err = until(what, func() (bool, error) {
		reply, err := l.second.api.GetInstance(l.context, operations.V2GetInstanceRequest{InstanceID: instanceID})
		if err != nil {
			return false, err
		}
		found = reply.V2GetWorkflowInstanceResponse.Data
		return isSo(found), nil
	})
	return found, err
}

func v2GetInstance(l *life) error {
	isAtLast := func(one shared.V2WorkflowInstance) bool { return one.Terminated || len(one.Status) == 2 }
	told, err := l.readV2(l.second.instance.ID, "the last stage has begun", isAtLast)
	if err != nil {
		return err
	}
	_, unknown := l.readV2(unknownID, "nobody", isAtLast)
	return errors.Join(
		equal("instance", told.ID, l.second.instance.ID),
		holds("it still runs, without error", !told.Terminated && told.Error == nil),
		refusedV2("an unknown instance", sdkerrors.SchemasErrorCodeNotFound, unknown),
	)
}

func v2GetInstanceHistory(l *life) error {
	request := operations.V2GetInstanceHistoryRequest{InstanceID: l.second.instance.ID}
	reply, err := l.second.api.GetInstanceHistory(l.context, request)
	if err != nil {
		return err
	}
	history := reply.V2GetWorkflowInstanceHistoryResponse.Data
	if err := equal("how many stages", len(history), 2); err != nil {
		return err
	}
	return errors.Join(
		equal("decoded as", history[0].Input.Type, shared.V2StageTypeV2StageSend),
		equal("amount", history[0].Input.V2StageSend.Amount.Amount, exact(amount)),
		equal("decoded as", history[1].Input.Type, shared.V2StageTypeV2StageWaitEvent),
	)
}

func v2GetInstanceStageHistory(l *life) error {
	read := func(number int64) ([]shared.V2WorkflowInstanceHistoryStage, error) {
		request := operations.V2GetInstanceStageHistoryRequest{InstanceID: l.second.instance.ID, Number: number}
		reply, err := l.second.api.GetInstanceStageHistory(l.context, request)
		if err != nil {
			return nil, err
		}
		return reply.V2GetWorkflowInstanceHistoryStageResponse.Data, nil
	}
	sent, err := read(0)
	if err != nil {
		return err
	}
	_, beyond := read(2)
	if len(sent) != 1 || sent[0].Output == nil || sent[0].Output.CreateTransaction == nil {
		return errors.New("one activity with its output: " + encoded(sent))
	}
	asked, booked := sent[0].Input.CreateTransaction.Data, sent[0].Output.CreateTransaction.Data
	if err := equal("transactions", len(booked), 1); err != nil {
		return err
	}
	return errors.Join(
		holds("it has a txid and a time", booked[0].Txid != nil && !booked[0].Timestamp.IsZero()),
		equal("booked", booked[0].Postings, asked.Postings),
		equal("amount", booked[0].Postings[0].Amount, exact(amount)),
		equal("reference", booked[0].Reference, asked.Reference),
		refusedV2("a stage beyond the last", sdkerrors.SchemasErrorCodeNotFound, beyond),
	)
}

func v2SendEvent(l *life) error {
	send := func(instanceID string) (*operations.V2SendEventResponse, error) {
		body := &operations.V2SendEventRequestBody{Name: signal}
		return l.second.api.SendEvent(l.context, operations.V2SendEventRequest{InstanceID: instanceID, RequestBody: body})
	}
	reply, err := send(l.second.instance.ID)
	if err != nil {
		return err
	}
	isEnded := func(one shared.V2WorkflowInstance) bool { return one.Terminated }
	ended, err := l.readV2(l.second.instance.ID, "the instance has ended", isEnded)
	if err != nil {
		return err
	}
	_, late := send(l.second.instance.ID)
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusNoContent),
		holds("it ended without error", ended.Error == nil && ended.TerminatedAt != nil),
		refusedV2("an event for an ended instance", sdkerrors.SchemasErrorCodeValidation, late),
	)
}

func v2CancelEvent(l *life) error {
	cancel := func(instanceID string) (*operations.V2CancelEventResponse, error) {
		return l.second.api.CancelEvent(l.context, operations.V2CancelEventRequest{InstanceID: instanceID})
	}
	doomed, err := l.startV2(operations.V2RunWorkflowRequest{WorkflowID: l.second.waiting.ID})
	if err != nil {
		return err
	}
	reply, err := cancel(doomed.ID)
	if err != nil {
		return err
	}
	isEnded := func(one shared.V2WorkflowInstance) bool { return one.Terminated }
	ended, err := l.readV2(doomed.ID, "the instance has ended", isEnded)
	if err != nil {
		return err
	}
	_, unknown := cancel(unknownID)
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusNoContent),
		equal("error", ended.Error, "canceled"),
		refusedV2("abort of nobody", sdkerrors.SchemasErrorCodeNotFound, unknown),
	)
}

func v2DeleteWorkflow(l *life) error {
	remove := func(workflowID string) (*operations.V2DeleteWorkflowResponse, error) {
		return l.second.api.DeleteWorkflow(l.context, operations.V2DeleteWorkflowRequest{FlowID: workflowID})
	}
	reply, err := remove(l.second.waiting.ID)
	if err != nil {
		return err
	}
	rows, err := walked(15, l.workflowsV2)
	if err != nil {
		return err
	}
	listed := byID(rows, func(one shared.V2Workflow) string { return one.ID })
	_, again := remove(l.second.waiting.ID)
	_, isListed := listed[l.second.waiting.ID]
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusNoContent),
		holds("it is gone from the list", !isListed),
		refusedV2("deleted twice", sdkerrors.SchemasErrorCodeNotFound, again),
	)
}
