// Near miss `dropout_of_scores` of `dropout_in_eval`
// Left alone: dropout
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int-1 = torch.constant.int -1
    %int-2 = torch.constant.int -2
    %0 = torch.aten.transpose.int %arg0, %int-1, %int-2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,40,63],f32>
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float1.581140e-01 = torch.constant.float 0.15811388300841897
    %2 = torch.aten.mul.Scalar %1, %float1.581140e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %float1.000000e-01 = torch.constant.float 1.000000e-01
    %true = torch.constant.bool true
    %3 = torch.aten.dropout %2, %float1.000000e-01, %true : !torch.vtensor<[2,4,63,63],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,4,63,63],f32>
    %none = torch.constant.none
    %4 = torch.aten.softmax.int %3, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %5 = torch.aten.matmul %4, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %5 : !torch.vtensor<[2,4,63,40],f32>
  }
}
