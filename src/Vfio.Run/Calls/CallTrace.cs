using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Tells each call that was served.</summary>
internal sealed class CallTrace(TextWriter writer)
{
    private readonly Lock _lock = new();

    public void Answered(SupervisedProcess process, in SystemCallNotice call, IoResult result)
    {
        string text = $"[{process.Id}] {call.Number}({call[0]:x}, {call[1]:x}, {call[2]:x}, {call[3]:x}) = {(result.IsError ? $"-1 {result.Error.GetName()}" : result.Value)}";
        lock (_lock)
        {
            writer.WriteLine(text);
            writer.Flush();
        }
    }
}
