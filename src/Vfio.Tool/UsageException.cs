namespace Vfio.Tool;

/// <summary>The command was used wrongly; the message says what is accepted.</summary>
internal sealed class UsageException(string message) : Exception(message);
