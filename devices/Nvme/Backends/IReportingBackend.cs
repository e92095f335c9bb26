namespace Vfio.Devices.Nvme;

/// <summary>A backend that has something to tell the person who runs the program, such as that a server is gone.</summary>
internal interface IReportingBackend
{
    /// <summary>Is told what happened, as a sentence; called on any thread, with no lock held.</summary>
    Action<string>? Report { get; set; }

    /// <summary>
    /// Whether requests fail until the server is there again, or something acknowledged is lost for ever. Any thread; what changes it is reported after the change.
    /// </summary>
    bool IsDegraded { get; }
}
