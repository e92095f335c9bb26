namespace Vfio.Drivers.Nvme;

/// <summary>Requests that ended under the queue's lock, to be told to their callers after it, in order.</summary>
internal ref struct FinishedRequests
{
    private NvmeRequest? _first;
    private NvmeRequest? _last;

    public void Add(NvmeRequest request)
    {
        request.Next = null;
        if (_last is null)
        {
            _first = request;
        }
        else
        {
            _last.Next = request;
        }

        _last = request;
    }

    public void Complete(bool inline)
    {
        NvmeRequest? request = _first;
        _first = null;
        _last = null;
        while (request is not null)
        {
            // Once told, it may be in use again.
            NvmeRequest? next = request.Next;
            request.Next = null;
            request.Complete(inline);
            request = next;
        }
    }
}
